//! The service as a whole: the real agent in a thread stands for the container, everything else is as in production.
mod crash;
mod docker;
mod places;
mod rig;
mod stories;
mod times;
mod troubles;
