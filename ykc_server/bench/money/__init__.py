"""What the money part has to reach: pages over millions of entries, settlements, a bill of ten thousand rows."""
