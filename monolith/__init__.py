"""The blog as it was: one Flask application that does everything, and the seams it leaves by."""
