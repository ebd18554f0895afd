"""The processes of the Procfile: started, watched, and recorded in the database."""
