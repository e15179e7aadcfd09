"""Card payments through Stripe, each charged once however often it is asked for."""
