// A suite as one HTML file: a table of all verbs, and below it each verb's own page, folded.

struct SuitePage {
    let suite: SuiteReport

    var html: String {
        let title = "chunkdb-bench suite"
        let rows = suite.rows.map { row in
            "<tr>" + row.map { "<td>\(ReportPage.escaped($0))</td>" }.joined() + "</tr>"
        }
        let warnings = suite.warnings.map {
            "<p class=\"loud\">\(ReportPage.escaped($0))</p>"
        }
        let sections = suite.verbs.compactMap { entry in
            entry.report.map { report in
                "<details><summary>\(ReportPage.escaped(entry.verb))</summary>\n"
                    + "<p class=\"quiet\">"
                    + ReportPage.escaped(([entry.verb] + entry.arguments).joined(separator: " "))
                    + "</p>\n" + ReportPage(report: report).section + "</details>"
            }
        }
        let body =
            ["<h1>\(title)</h1>"] + warnings
            + ["<table><tr><th>verb</th><th>state</th><th>time</th><th>found</th></tr>"] + rows
            + ["</table>"] + sections
        return ReportPage.document(title: title, body: body.joined(separator: "\n"))
    }
}
