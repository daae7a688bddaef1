"""The three papers in executable form: claims, tables, figures, errata."""
