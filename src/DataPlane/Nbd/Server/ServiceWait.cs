using RaftMirror.DataPlane.Exports;
using RaftMirror.DataPlane.Nbd.Protocol;

namespace RaftMirror.DataPlane.Nbd.Server;

/// <summary>Carries out what a handshake waits for (design §14.26): opens the session that GO needs, learns what is configured elsewhere,
/// and lets the machine look again at every change. The connection's thread; it is held for at most
/// <see cref="HandshakeMachine.MaxWaitMs"/> in all.</summary>
/// <param name="catalog">Asked anew at every change.</param>
/// <param name="time">Clock of the waits.</param>
/// <param name="client">As sessions are told.</param>
/// <param name="intake">As sessions are told.</param>
/// <param name="isGone">True once the client has closed its side: nobody waits for the answer.</param>
/// <param name="stopping">The connection is to go.</param>
internal sealed class ServiceWait(
    IExportCatalog catalog, TimeProvider time, string client, IIntake intake, Func<bool> isGone, CancellationToken stopping) : IDisposable
{
    private static readonly TimeSpan LookAtClient = TimeSpan.FromMilliseconds(250);

    private readonly CancellationTokenSource _catchingUp = CancellationTokenSource.CreateLinkedTokenSource(stopping);
    private IExport? _export;
    private IExportSession? _session;
    private Task? _caughtUp;

    /// <summary>The clock that the machine is told.</summary>
    public long NowMs => (long)time.GetElapsedTime(0).TotalMilliseconds;

    /// <summary>Waits until the machine's option can be answered or is refused.</summary>
    /// <returns>The machine's step; <see cref="HandshakeStep.Close"/> if the client has gone.</returns>
    public HandshakeStep Await(HandshakeMachine machine)
    {
        _caughtUp = null;
        while (true)
        {
            var changed = catalog.Changed; // Before the look: no change is missed.
            var facts = new WaitFacts(
                NowMs, _caughtUp is { IsCompletedSuccessfully: true }, Standing(machine.Wanted), stopping.IsCancellationRequested);
            var waiting = machine.Waiting!;
            var step = machine.LookAgain(facts);
            if (step == HandshakeStep.Transmission) return step;
            if (step != HandshakeStep.Wait)
            {
                EndSession();
                return step;
            }

            if (Opens(machine.Wanted)) continue;
            if (isGone()) return HandshakeStep.Close;
            if (waiting.NeedsCatchUp) _caughtUp ??= catalog.CatchUpAsync(_catchingUp.Token);
            WaitForNews(changed, waiting.DeadlineMs);
        }
    }

    /// <summary>Hands the session over to whoever serves it.</summary>
    public IExportSession TakeSession()
    {
        var session = _session!;
        _session = null;
        return session;
    }

    /// <summary>Closes a session that nobody took.</summary>
    public void Dispose()
    {
        _catchingUp.Cancel();
        _catchingUp.Dispose();
        _session?.Dispose();
    }

    private SessionStanding Standing(IExport? wanted)
    {
        if (_session is null || wanted is null || !wanted.Equals(_export) || _session.Dropped.IsCancellationRequested) return SessionStanding.None;
        return _session.Admitted.IsCompleted ? SessionStanding.Admitted : SessionStanding.Opened;
    }

    /// <returns>True if a session was opened: look again.</returns>
    private bool Opens(IExport? wanted)
    {
        if (wanted is null || wanted.Equals(_export)) return false; // One that dropped us is not asked again.
        EndSession();
        (_export, _session) = (wanted, wanted.Open(client, intake));
        return true;
    }

    private void EndSession()
    {
        _session?.Dispose();
        (_export, _session) = (null, null);
    }

    private void WaitForNews(Task changed, long deadlineMs)
    {
        var news = new List<Task>(4) { changed };
        if (_session is { Dropped.IsCancellationRequested: false, Admitted.IsCompleted: false }) news.Add(_session.Admitted);
        if (_caughtUp is { IsCompleted: false }) news.Add(_caughtUp);
        var left = TimeSpan.FromMilliseconds(Math.Max(1, deadlineMs - NowMs));
        try
        {
            Task.WaitAny([.. news], (int)Math.Min(left.TotalMilliseconds, LookAtClient.TotalMilliseconds), stopping);
        }
        catch (OperationCanceledException)
        {
            // The machine is told, and says so to the client.
        }
    }
}
