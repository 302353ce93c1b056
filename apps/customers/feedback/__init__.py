"""What drivers write to the company (意见反馈), and what staff answer."""
