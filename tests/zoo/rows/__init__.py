"""What each family of models is asked, and what it must answer."""
