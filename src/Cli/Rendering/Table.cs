using System.Text;

namespace RaftMirror.Cli.Rendering;

/// <summary>Aligned columns, two blanks apart, no trailing blanks. Cells are plain text; colour is applied after alignment.</summary>
internal sealed class Table
{
    private readonly (string Header, bool AlignRight)[] _columns;
    private readonly List<(string[] Cells, int PaintedColumn, string? Word)> _rows = [];

    /// <param name="columns">Headers; a leading '&gt;' aligns the column right.</param>
    public Table(params string[] columns) =>
        _columns = [.. columns.Select(column => column.StartsWith('>') ? (column[1..], true) : (column, false))];

    /// <summary>Adds a row; cells that are missing are empty.</summary>
    public void Add(params string[] cells) => _rows.Add((cells, -1, null));

    /// <summary>Adds a row of which one cell is coloured by a state word.</summary>
    public void AddPainted(int column, string word, params string[] cells) => _rows.Add((cells, column, word));

    public void Write(Terminal terminal, string indent = "")
    {
        var widths = _columns.Select((column, i) =>
            Math.Max(column.Header.Length, _rows.Max(row => (int?)Cell(row.Cells, i).Length) ?? 0)).ToArray();
        WriteRow(terminal, indent, widths, [.. _columns.Select(column => column.Header)], -1, null);
        foreach (var (cells, painted, word) in _rows) WriteRow(terminal, indent, widths, cells, painted, word);
    }

    private static string Cell(string[] cells, int i) => i < cells.Length ? cells[i] : "";

    private void WriteRow(Terminal terminal, string indent, int[] widths, string[] cells, int painted, string? word)
    {
        var last = _columns.Length - 1;
        while (last > 0 && Cell(cells, last).Length == 0) last--;
        var line = new StringBuilder(indent);
        for (var i = 0; i <= last; i++)
        {
            var cell = Cell(cells, i);
            var padding = new string(' ', widths[i] - cell.Length);
            var text = i == painted ? terminal.Paint(cell, word!) : cell;
            if (_columns[i].AlignRight) line.Append(padding).Append(text);
            else line.Append(text).Append(i < last ? padding : "");
            if (i < last) line.Append("  ");
        }

        terminal.Out.WriteLine(line.ToString());
    }
}
