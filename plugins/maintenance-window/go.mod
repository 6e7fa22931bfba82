// The host name keeps the path apart from the standard library.
module policy.local/maintenance-window

go 1.24
