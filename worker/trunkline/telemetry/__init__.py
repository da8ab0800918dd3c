"""What trunkline tells its operators while it runs."""
