"""Training: adapt a base model for self-injection. Recipes say what, ``run`` puts it together."""
