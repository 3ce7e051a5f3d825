//! A small Kubernetes API client: objects as JSON, server-side apply, watches.
