//! AWS operations and shapes, generated from models/.
