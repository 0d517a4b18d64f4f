"""What people send, by the address of a page or by a form in it, is read here: limits and messages have one
place."""
