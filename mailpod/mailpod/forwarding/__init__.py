"""Mail that goes on to other domains: under which sender, and how a notice about it finds its way back."""
