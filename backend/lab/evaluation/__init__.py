"""Does it recommend well? A number and a picture that anyone can reproduce."""
