"""A strangler-fig migration kit: route, compare, hand over and retire, one endpoint at a time."""
