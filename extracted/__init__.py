"""The services carved out of the monolith, one folder each, and the chassis they share."""
