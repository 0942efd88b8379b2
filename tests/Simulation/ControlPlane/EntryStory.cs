using System.Globalization;
using System.Text;
using RaftMirror.ControlPlane.Leases;
using RaftMirror.ControlPlane.Model;

namespace RaftMirror.Simulation.ControlPlane;

/// <summary>Two nodes ping each other, enter a set and start anew, while connections from either to the other can be made or not: all orders of these
/// steps. The decisions are the product's own (<see cref="LinkTable"/>); a step between the decision to enter and its commit is the daemon's.</summary>
/// <remarks>What must hold (ADR 0019): of two that serve and do not hear each other the leader is told, or one would wait for the other's word for
/// ever; unless both entered at once, nobody is named for a silence that was there before, since that might end the service of the one that was there
/// first; and where both hear each other both may enter.</remarks>
internal sealed class EntryStory
{
    private const int Longest = 14;
    private const int Settled = LinkTable.MissesUntilUnheard + 2;

    private enum Step
    {
        Ping,
        Decide,
        Commit,
        TurnLink,
        Restart,
    }

    /// <summary>Different worlds that were looked at.</summary>
    public int Worlds { get; private set; }

    /// <summary>Worlds in which both serve and do not hear each other.</summary>
    public int Silences { get; private set; }

    /// <summary>Looks at all orders, from each state of the links.</summary>
    /// <returns>What was broken and how one comes there, or null.</returns>
    public string? Run()
    {
        for (var links = 0; links < 4; links++)
        {
            var seen = new HashSet<string>(StringComparer.Ordinal);
            var next = new Queue<(Step, int)[]>([[]]);
            while (next.TryDequeue(out var path))
            {
                var world = new World(links, path);
                if (!seen.Add(world.Key())) continue;
                Worlds++;
                if (Check(world) is { } broken) return $"{broken}: links {Describe(links)}; {string.Join(", ", path.Select(static step => $"{step.Item1} {"ac"[step.Item2]}"))}";
                if (path.Length == Longest) continue;
                var again = new World(links, path); // The check went on with the other.
                for (var node = 0; node < 2; node++)
                {
                    foreach (var step in Enum.GetValues<Step>())
                    {
                        if (again.Can(step, node)) next.Enqueue([.. path, (step, node)]);
                    }
                }
            }
        }

        return null;
    }

    private string? Check(World world)
    {
        // From here on nothing changes but what pings tell.
        for (var round = 0; round < Settled; round++)
        {
            for (var node = 0; node < 2; node++) world.Do(Step.Ping, node);
        }

        for (var node = 0; node < 2; node++)
        {
            if (world.Names(node) && !world.Heard(node) && !world.DidEnterAtOnce)
                return $"{"ac"[node]} names a node that it has never heard, so that a silence which was there before one of them came may end the other's service";
        }

        if (world.AreLinksUp)
        {
            if (world.Names(0) || world.Names(1)) return "a node that answers is named";
            return world.MayEnter(0) && world.MayEnter(1) ? null : "a node that hears the other and is heard may not enter";
        }

        if (!world.DoBothServe) return null;
        Silences++;
        return world.Names(0) || world.Names(1) ? null : "both serve, one does not hear the other, and nobody is told";
    }

    private static string Describe(int links) => links switch { 0 => "down", 1 => "a to c", 2 => "c to a", _ => "up" };

    private sealed class World
    {
        private readonly LinkTable[] _tables = [new(), new()];
        private readonly ulong[] _lives = [1, 1];
        private readonly bool[] _isServing = new bool[2];
        private readonly bool[] _hasDecided = new bool[2];
        private readonly bool[] _sawServing = new bool[2]; // By node: the other served when it decided to enter.
        private readonly bool[] _canReach; // By node: it can connect to the other.
        private readonly int[] _lost = new int[2]; // By node: pings without an answer, since the last one that had one.
        private readonly int[] _tried = new int[2];
        private readonly bool[] _heard = new bool[2];
        private readonly bool[] _saysHeard = new bool[2]; // What the other's last answer said.
        private int _turns = 1;
        private int _restarts = 1;

        public World(int links, (Step Step, int Node)[] path)
        {
            _canReach = [(links & 1) != 0, (links & 2) != 0];
            foreach (var (step, node) in path) Do(step, node);
        }

        public bool DoBothServe => _isServing[0] && _isServing[1];

        public bool DidEnterAtOnce => DoBothServe && !_sawServing[0] && !_sawServing[1];

        public bool AreLinksUp => _canReach[0] && _canReach[1];

        public bool Heard(int node) => _heard[node];

        public bool Names(int node) => _tables[node].IsToBeNamed(Other(node), DoBothServe);

        public bool MayEnter(int node) => _tables[node].MayEnter(_isServing[1 - node] ? [Other(node)] : []);

        public bool Can(Step step, int node) => step switch
        {
            Step.Decide => !_hasDecided[node] && !_isServing[node] && MayEnter(node),
            Step.Commit => _hasDecided[node],
            Step.TurnLink => _turns > 0,
            Step.Restart => _restarts > 0,
            _ => true,
        };

        public void Do(Step step, int node)
        {
            switch (step)
            {
                case Step.Ping:
                    Ping(node);
                    break;
                case Step.Decide:
                    (_hasDecided[node], _sawServing[node]) = (true, _isServing[1 - node]);
                    break;
                case Step.Commit:
                    (_hasDecided[node], _isServing[node]) = (false, true);
                    break;
                case Step.TurnLink:
                    _turns--;
                    _canReach[node] = !_canReach[node];
                    break;
                default:
                    _restarts--;
                    _lives[node]++;
                    _tables[node] = new LinkTable();
                    (_isServing[node], _hasDecided[node]) = (false, false);
                    foreach (var one in (int[])[0, 1])
                        (_lost[one], _tried[one], _heard[one], _saysHeard[one], _sawServing[one]) = (0, 0, false, false, false);
                    break;
            }
        }

        /// <summary>What tells worlds apart: counts beyond the bound change nothing any more.</summary>
        public string Key()
        {
            var key = new StringBuilder();
            for (var node = 0; node < 2; node++)
            {
                key.Append(CultureInfo.InvariantCulture, $"{_lives[node]} {_isServing[node]} {_hasDecided[node]} {_sawServing[node]} {_canReach[node]} ")
                    .Append(CultureInfo.InvariantCulture, $"{Math.Min(_lost[node], 4)} {Math.Min(_tried[node], 5)} {_heard[node]} {_saysHeard[node]};");
            }

            return key.Append(CultureInfo.InvariantCulture, $"{_turns} {_restarts}").ToString();
        }

        private NodeIncarnation Other(int node) => new("ac"[1 - node].ToString(), _lives[1 - node]);

        private void Ping(int node)
        {
            var (other, own) = (Other(node), new NodeIncarnation("ac"[node].ToString(), _lives[node]));
            if (!_tables[node].BeginPing(other)) return;
            var hears = _canReach[node] && _tables[1 - node].Hears(own);
            _tables[node].PingEnded(other, _canReach[node] ? other.Incarnation : 0, hears);
            _tried[node]++;
            if (_canReach[node]) (_lost[node], _heard[node], _saysHeard[node]) = (0, true, hears);
            else _lost[node]++;
        }
    }
}
