// The host name keeps the path apart from the standard library.
module policy.local/@NAME@

go 1.24
