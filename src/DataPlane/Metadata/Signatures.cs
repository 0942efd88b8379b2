namespace RaftMirror.DataPlane.Metadata;

/// <summary>Names what others put on a disk. Pure.</summary>
internal static class Signatures
{
    private const int MaxNames = 6;

    /// <summary>Names what is there, each with its place.</summary>
    /// <returns>Null if everything that was looked at is zero.</returns>
    public static string? Recognise(SignatureImage image)
    {
        if (image.FirstData < 0) return null;
        var found = Find(image);
        if (found.Count == 0) return $"unknown data, the first at byte {image.FirstData}";
        var names = found.Take(MaxNames).Select(static item => $"{item.Name} (at byte {item.Position})");
        return string.Join(", ", names) + (found.Count > MaxNames ? " and more" : "");
    }

    /// <summary>All formats that are recognised, each once, with the first place of its magic. What a few bytes hint at counts only if there
    /// is nothing better.</summary>
    public static IReadOnlyList<(string Name, long Position)> Find(SignatureImage image)
    {
        var strong = new List<(string Name, long Position)>();
        var weak = new List<(string Name, long Position)>();
        foreach (var signature in SignatureTable.All)
        {
            if (PositionOf(image, signature) is not { } position) continue;
            var list = signature.IsWeak && !IsCertain(image, signature) ? weak : strong;
            var name = Refined(image, signature);
            if (!list.Exists(item => item.Name == name)) list.Add((name, position));
        }

        return strong.Count > 0 ? strong : weak;
    }

    private static long? PositionOf(SignatureImage image, Signature signature)
    {
        foreach (var place in signature.Places)
        {
            var position = place.PositionOn(image.SizeBytes);
            if (position >= 0 && position + signature.Magic.Length <= image.SizeBytes && image.Has(position, signature.Magic)) return position;
        }

        return null;
    }

    /// <summary>Two bytes, but what they stand in makes sense.</summary>
    private static bool IsCertain(SignatureImage image, Signature signature) => signature.Name switch
    {
        "an MBR partition table or a boot sector" => HasPartition(image),
        "an ext2, ext3 or ext4 file system" => Word(image, 1024 + 0x18) <= 6 && Word(image, 1024 + 4) > 0, // Block size, blocks.
        "a NILFS2 file system" => Word(image, 1024 + 6) >> 16 is > 0 and < 4096, // Bytes of the superblock.
        _ => false,
    };

    private static string Refined(SignatureImage image, Signature signature) => signature.Name switch
    {
        "an MBR partition table or a boot sector" when HasPartition(image) => "an MBR partition table",
        "an ext2, ext3 or ext4 file system" => Ext(image),
        _ => signature.Name,
    };

    private static bool HasPartition(SignatureImage image)
    {
        var isSound = true;
        var count = 0;
        for (var entry = 446; entry < 510; entry += 16)
        {
            isSound &= image.At(entry) is 0 or 0x80;
            if (image.At(entry + 4) != 0) count++;
        }

        return isSound && count > 0;
    }

    private static string Ext(SignatureImage image)
    {
        var hasJournal = (Word(image, 0x45C) & 4) != 0;
        var hasExtents = (Word(image, 0x460) & 0x2C0) != 0;
        return hasExtents ? "an ext4 file system" : hasJournal ? "an ext3 file system" : "an ext2 file system";
    }

    private static uint Word(SignatureImage image, long position) =>
        image.At(position) | ((uint)image.At(position + 1) << 8) | ((uint)image.At(position + 2) << 16) | ((uint)image.At(position + 3) << 24);
}
