"""What keeps a store well and small: copies, looks for damage, and the end of what nobody needs any more."""
