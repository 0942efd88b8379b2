using System.Net.Sockets;
using RaftMirror.DataPlane.Nbd.Protocol;
using RaftMirror.Primitives;
using Xunit;

namespace RaftMirror.DataPlane.Tests.Nbd;

/// <summary>Structure-aware noise. A failure names its seed, and the seed makes the same bytes again.</summary>
public sealed class NbdFuzzTests : NbdServerFixture
{
    [Fact]
    public void Machine_MutatedOptions_NeverThrowsNorConsumesTooMuch()
    {
        for (ulong seed = 1; seed <= 3000; seed++)
        {
            var random = new Xoshiro(seed);
            var machine = new HandshakeMachine(Catalog);
            byte[] input = [0, 0, 0, 3, .. Enumerable.Range(0, 6).SelectMany(_ => MutatedOption(random))];
            var position = 0;
            var step = HandshakeStep.Continue;
            try
            {
                while (step == HandshakeStep.Continue)
                {
                    step = machine.Step(input.AsSpan(position), 0, out var consumed);
                    Assert.InRange(consumed, step == HandshakeStep.Continue ? 4 : 0, input.Length - position);
                    if (step == HandshakeStep.Wait) step = machine.LookAgain(new WaitFacts(0, IsCaughtUp: true, SessionStanding.Admitted, IsStopping: false));
                    position += consumed;
                    Assert.InRange(machine.Output.Length, 0, 64 << 10);
                    machine.ClearOutput();
                }
            }
            catch (Exception exception)
            {
                Assert.Fail($"seed {seed}: {exception}");
            }

            Assert.Equal(step == HandshakeStep.Transmission, machine.Export is not null);
        }
    }

    [Fact]
    public void Rules_RandomRequests_ExecuteOnlyWhatFits()
    {
        var random = new Xoshiro(4);
        var rules = new NbdRequestRules(Export.Info, structuredReplies: true, allocationContext: true);
        for (var i = 0; i < 200_000; i++)
        {
            var request = new RequestHeader(
                (CommandFlags)(1 << random.Next(8)), (NbdCommand)random.Next(9), 0, RandomOffset(random), RandomLength(random));
            if (rules.Check(request).Action != RequestAction.Execute || request.Command == NbdCommand.Flush) continue;
            Assert.True((UInt128)request.Offset + request.Length <= (UInt128)Export.Info.SizeBytes, request.ToString());
            Assert.True(request.Length > 0 && (request.Offset % 512) == 0 && (request.Length % 512) == 0, request.ToString());
        }
    }

    [Fact]
    public async Task Server_MutatedSessions_StaysInStepAndUp()
    {
        for (ulong seed = 1; seed <= 150; seed++)
        {
            var random = new Xoshiro(seed);
            using var client = NbdTestClient.Attach(Endpoint, structured: random.Chance(0.5));
            try
            {
                for (var i = 0; i < 30; i++)
                {
                    var length = random.Chance(0.8) ? (uint)random.Next(64) * 256 : RandomLength(random);
                    var command = (ushort)random.Next(9);
                    if (command is 1 or 2) length %= 1 << 16;
                    var bytes = NbdTestClient.Request(
                        command, seed, RandomOffset(random), length, (ushort)(random.Chance(0.7) ? 0 : 1 << random.Next(16)),
                        random.Chance(0.01) ? 1 : NbdWire.RequestMagic);
                    client.Send(bytes);
                    if (command == 1) client.Send(new byte[length]);
                }
            }
            catch (SocketException)
            {
                // The server ended the connection, as it must for some of this.
            }

            if (random.Chance(0.5)) client.Reset();
        }

        await Eventually(() => Server.Connections.Count == 1, "all of them end");
        using var good = NbdTestClient.Attach(Endpoint);
        Assert.Equal(0u, good.Do(0, 0, 4096).Error);
    }

    private static byte[] MutatedOption(Xoshiro random)
    {
        uint[] options = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99];
        var option = options[random.Next(options.Length)];
        var data = option switch
        {
            6 or 7 => NbdTestClient.InfoData(random.Chance(0.5) ? "set/vol" : "nobody", 3),
            9 or 10 => NbdTestClient.MetaData("set/vol", "base:", "base:allocation", "x:y"),
            _ => random.Chance(0.7) ? [] : new byte[random.Next(20)],
        };
        if (data.Length > 0 && random.Chance(0.5)) data[random.Next(data.Length)] = (byte)random.Next(256);
        if (data.Length > 0 && random.Chance(0.2)) data = data[..random.Next(data.Length)];
        return NbdTestClient.Option(option, data, random.Chance(0.05) ? (uint)random.NextInt64(1L << 32) : null);
    }

    private static ulong RandomOffset(Xoshiro random) => random.Next(4) switch
    {
        0 => random.NextUInt64(),
        1 => (1 << 20) - (ulong)random.Next(4096),
        2 => ulong.MaxValue - (ulong)random.Next(4096),
        _ => (ulong)random.Next(2048) * 512,
    };

    private static uint RandomLength(Xoshiro random) => random.Next(3) switch
    {
        0 => (uint)random.NextUInt64(),
        1 => (uint)random.Next(8192),
        _ => (uint)random.Next(64) * 512,
    };
}
