//! The machine API on the wire: protobuf contracts, client, server glue.
