"""Pictures: made small and clean, kept in S3, served from there."""
