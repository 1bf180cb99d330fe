"""Every form the services' database ever had, as steps from one to the next."""
