"""Where number events come from: files, programs and, later, webhooks."""
