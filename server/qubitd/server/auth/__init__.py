"""Who may call what: identities, rights, tokens, certificates, and the book of what was done."""
