"""The jobs that have not ended: kept in step with the store, and who of them runs next."""
