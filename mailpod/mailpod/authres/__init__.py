"""Who really sent it: SPF, DKIM and DMARC of what comes in, and the Authentication-Results field that says so."""
