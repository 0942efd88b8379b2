namespace RaftMirror.Contracts;

/// <summary>Names that nodes and their clients agree on.</summary>
internal static class ApiNames
{
    public const string SocketName = "api.sock";

    public const string IndexHeader = "RaftMirror-Index";

    public const string TermHeader = "RaftMirror-Term";

    public const string LeaderHeader = "RaftMirror-Leader";

    public const string AnsweredByHeader = "RaftMirror-Answered-By";

    public const string NextSinceHeader = "RaftMirror-Next-Since";

    public const string OldestIndexHeader = "RaftMirror-Oldest-Index";
}
