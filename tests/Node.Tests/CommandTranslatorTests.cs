using System.Text.Json;
using RaftMirror.Contracts;
using RaftMirror.Node.Commands;
using Xunit;

namespace RaftMirror.Node.Tests;

/// <summary>What the serializer takes and no node could carry out is refused before it is proposed.</summary>
public sealed class CommandTranslatorTests
{
    private const string Mirror = """{"set":"demo","volume":"x","sizeBytes":1048576,"disks":["d0"],"recovery":"log","writers":"all","read":"roundRobin","write":"parallel","pass":1,"regionBytes":65536}""";

    [Theory]
    [InlineData(CommandTypes.CreateMirror, Mirror, "\"all\"", "7", "writers")]
    [InlineData(CommandTypes.CreateMirror, Mirror, "\"log\"", "99", "recovery")]
    [InlineData(CommandTypes.CreateMirror, Mirror, "\"roundRobin\"", "-1", "read")]
    [InlineData(CommandTypes.CreateMirror, Mirror, "\"parallel\"", "99", "write")]
    [InlineData(CommandTypes.CreateMirror, Mirror, "\"d0\"", "null", "disks")]
    [InlineData(CommandTypes.CreateSet, """{"set":"t","nodes":["a"],"maxNodes":4,"metadataBytes":null,"fencing":"lease"}""", "\"lease\"", "55", "fencing")]
    [InlineData(CommandTypes.CreateSet, """{"set":"t","nodes":["a"],"maxNodes":4,"metadataBytes":null,"fencing":"lease"}""", "\"a\"", "null", "nodes")]
    [InlineData(CommandTypes.AddDisk, """{"set":"demo","disk":"x","path":"/x","paths":{"a":"/y"},"directIo":null}""", "\"/y\"", "null", "paths")]
    [InlineData(CommandTypes.SetDisk, """{"set":"demo","disk":"d0","path":null,"paths":{"a":"/y"}}""", "\"/y\"", "null", "paths")]
    public void Translate_ValueThatIsNone_IsRefusedByName(string type, string body, string right, string wrong, string field)
    {
        Assert.NotNull(Translate(type, body).Body);
        Assert.Contains(right, body, StringComparison.Ordinal);
        var refused = Translate(type, body.Replace(right, wrong, StringComparison.Ordinal));
        Assert.Null(refused.Body);
        Assert.Equal((ApiOutcome.Rejected, RejectionKind.Usage), (refused.Refusal!.Outcome, refused.Refusal.Rejection));
        Assert.Contains($"{field}:", refused.Refusal.Message, StringComparison.Ordinal);
        Assert.EndsWith("Nothing was applied.", refused.Refusal.Message, StringComparison.Ordinal);
    }

    private static Translation Translate(string type, string body) => CommandTranslator.Translate(Samples.View().State, new CommandRequest
    {
        Type = type,
        Body = JsonSerializer.Deserialize<JsonElement>(body),
        RequestId = RequestIds.New(),
        By = "me@here",
    });
}
