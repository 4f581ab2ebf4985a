"""Who may call: keys and how requests carry them."""
