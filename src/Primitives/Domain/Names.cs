namespace RaftMirror.Primitives.Domain;

/// <summary>Names of nodes, sets, disks and volumes: [a-z0-9][a-z0-9._-]{0,62}. They appear in paths, URIs and export names.</summary>
public static class Names
{
    /// <summary>The rule, for error messages.</summary>
    public const string Rule = "1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit";

    /// <summary>True if the name follows the rule.</summary>
    public static bool IsValid(string? name)
    {
        if (name is null || name.Length is 0 or > 63) return false;
        for (var i = 0; i < name.Length; i++)
        {
            var c = name[i];
            if (c is (>= 'a' and <= 'z') or (>= '0' and <= '9')) continue;
            if (i > 0 && c is ('.' or '_' or '-')) continue;
            return false;
        }

        return true;
    }
}
