//! What the control plane tells the edge, and what the edge reports.
