"""Cases: what is drawn for a trial."""
