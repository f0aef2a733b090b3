"""Who may act on the testbed now: nobody is asked, a file of the site, or R2lab's service."""
