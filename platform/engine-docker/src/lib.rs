//! Tasks on the Docker Engine API.
