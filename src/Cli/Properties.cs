// Linux is the only platform: O_DIRECT, flock, Unix socket modes.
[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
