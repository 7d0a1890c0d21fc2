"""Documents that leave the directorate: one content, shown as a page, as PDF and as a spreadsheet."""
