"""From what the analyses found to what people read: TSV files, pictures, and one page that holds all of it."""
