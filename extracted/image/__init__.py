"""The image service: takes a picture, makes it small and clean, keeps it in S3, serves it."""
