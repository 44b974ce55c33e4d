"""What can be asked for: each act takes who asks and what they say, checks the permission, and gives back documents."""
