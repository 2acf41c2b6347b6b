"""One file a backend; nothing here is imported before somebody asks for it."""
