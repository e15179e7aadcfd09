"""The payment service: cards charged through Stripe, once however often it is asked for."""
