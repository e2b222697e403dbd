"""What loadtest/run is made of; loadtest/README.md says how it measures."""
