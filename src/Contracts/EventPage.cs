using System.Text.Json;

namespace RaftMirror.Contracts;

/// <summary>Events, oldest first.</summary>
/// <param name="Events">One JSON object each: index, seq, at, type, command, by, node?, set?, volume?, ….</param>
/// <param name="NextSince">Pass as <c>since</c> to go on.</param>
/// <param name="OldestIndex">Events below were dropped; a <c>since</c> before it has a gap.</param>
internal sealed record EventPage(IReadOnlyList<JsonElement> Events, ulong NextSince, ulong OldestIndex);
