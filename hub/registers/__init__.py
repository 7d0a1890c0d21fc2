"""What the directorate keeps: council, agreements, partnerships, projects, outreach, referrals, requests."""
